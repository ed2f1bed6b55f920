"""Family `memelens`: one vision-language model, instructed, for every task of the taxonomy (arXiv 2601.12539)."""
