"""The EPICS Archiver Appliance's formats, as pure codecs."""
