"""Where names become objects: the check and assembly of a study, the supervisor loop, the final test."""
