"""Family `mulcot`: an assistant that learns to reason from a teacher's chains, and a student that it teaches in turn
(MulCoT-RD, arXiv 2508.05234)."""
