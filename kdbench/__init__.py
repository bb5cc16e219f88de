"""kdbench: does a distilled student inherit its teacher's inductive biases, or only its accuracy?"""

__version__ = "0.1.0"
