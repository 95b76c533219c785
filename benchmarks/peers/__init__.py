"""
Other people's recommenders behind one face.

What imports LensKit runs in an environment of its own (`make bench-peers`), as it needs torch and
an older pandas; of this project it imports only what that environment can hold.
"""
