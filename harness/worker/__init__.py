"""The code that runs next to the kernel under test.

It needs only the standard library of Python 3.10, and it knows no expected answers.
"""
