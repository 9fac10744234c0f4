"""What both sides agree on: domain types, settings, storage, messages. Knows neither service nor worker."""
