"""Files in and out: the only code that knows rln* names, MRC headers and other file formats."""
