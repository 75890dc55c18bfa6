"""Clusters and text to tokens, vocabulary, counts, c-TF-IDF, words and examples.

Every function takes one block or a few merged results; the pipeline maps and merges them.
"""
