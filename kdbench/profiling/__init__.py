"""The bias profile of any network, on the images of a track or on one's own."""
