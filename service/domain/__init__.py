"""The words and the rules: pure, and importing nothing but itself and the errors."""
