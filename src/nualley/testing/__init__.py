"""Writers of raw formats, fakes of ports and a real IOC, for our tests and for yours."""
