//! Request: an OpenAI request, normalised; unknown fields are kept.
