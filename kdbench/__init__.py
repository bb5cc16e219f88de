"""kdbench: does a distilled student inherit its teacher's inductive biases, or only its accuracy?"""

__version__ = "1.0.0rc1"
