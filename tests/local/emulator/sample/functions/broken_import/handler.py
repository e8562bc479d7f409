import a_package_that_does_not_exist  # type: ignore[import-not-found] # that is its point

app = a_package_that_does_not_exist.app
