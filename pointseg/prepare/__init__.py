"""From raw data sets to stores."""
