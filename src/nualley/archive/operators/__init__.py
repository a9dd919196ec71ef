"""The Archiver Appliance's post-processors, over tables of samples."""
