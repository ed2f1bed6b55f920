"""From files to what models read: pictures, their text (OCR), cleaned text and its language."""
