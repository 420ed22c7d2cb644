import Martlet

print([11.0, 22.0, 33.0])
