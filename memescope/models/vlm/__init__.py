"""Vision-language models as a family sees them: what is said (`rows`), how it is answered (`model`). Extra `train`."""
