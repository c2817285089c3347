"""X, the second input of a teacher: depth, disparity, normals, thermal images, and faults of the sensor."""
