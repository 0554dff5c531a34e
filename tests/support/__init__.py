"""What several tests need: model files, fakes and clients made by the tests themselves."""
