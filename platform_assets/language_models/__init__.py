"""Language models: small decoders tuned on the texts of corpora, as adapters in the lake."""
