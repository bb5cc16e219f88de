"""Training: from a job to the student's weights, under the spec's budget."""
