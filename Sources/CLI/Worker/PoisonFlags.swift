import ArgumentParser
import CoppiceSupervisor

struct PoisonFlags: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "A late task that goes back when its child dies is set aside at so many deaths, on all nodes together; 3 if not given.",
            valueName: "n"))
    var maxDeaths: Int?

    @Option(
        help: ArgumentHelp(
            "Memory for a child's data while it runs a task of which an attempt has died: 512M. It must be more than an idle child has.",
            valueName: "size"))
    var suspectMemory: String?

    func options(_ worker: WorkerLookup) throws(SettingsError) -> PoisonOptions {
        var options = PoisonOptions()
        if let deaths = try worker.integer(maxDeaths, "max-deaths", 1...1000) { options.mostDeaths = deaths }
        options.suspectMemory = try worker.bytes(suspectMemory, "suspect-memory")
        return options
    }
}
