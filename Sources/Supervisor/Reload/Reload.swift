import CoppiceShared
import CoppiceSystem

/// What a master remembers of its reloads.
struct Reload {
    /// HUP came and has not been acted on. One that comes during a reload asks for another.
    var isWanted = false
    /// Why the last one failed; nil after one that did not.
    var failure: String?
    var report = ReloadReport(pid: CurrentProcess.id, started: ProcessStatus.startTime(of: CurrentProcess.id) ?? 0)
    /// Where that is written.
    let places: [String]

    init(places: [String]) { self.places = places }
}
