"""What a teacher can see beside RGB: depth, disparity, normals, thermal images, and their faults."""
