import CoppiceSystem

/// What a single child is given besides its pipes; goes with it.
struct Enclosure {
    /// Holds the child and whatever it starts.
    var group: ControlGroup?
    /// Whether the group's memory is counted and can be limited.
    var countsMemory = false
    /// Its temporary folder.
    var folder: String?
}
