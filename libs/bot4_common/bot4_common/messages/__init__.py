"""The language of bot4: one module per speaker, and the frame that carries their events."""
