// Whoever speaks of the domain speaks of its instants.
@_exported public import Instants
