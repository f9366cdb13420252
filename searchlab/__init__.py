"""searchlab: find the best Keras network your data and budget allow."""
