"""The chunks asset: documents cut into token-bounded pieces of text with stable ids."""
