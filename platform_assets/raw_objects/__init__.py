"""The manifest of the bucket's objects: a row an object, its content digest included."""
