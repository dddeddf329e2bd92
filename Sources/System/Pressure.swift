/// How much work waits for a resource, as the kernel tells (PSI): percentages of the last ten seconds.
public struct Pressure: Equatable, Sendable {
    public enum Resource: String, CaseIterable, Sendable { case cpu, memory, io }

    /// Some of the tasks waited.
    public var some: Double
    /// All of them waited.
    public var full: Double

    public init(some: Double, full: Double) {
        self.some = some
        self.full = full
    }

    /// A file as /proc/pressure/memory; nil if it is none. Older kernels have no line `full` for the CPU.
    public init?(_ text: String) {
        var values: [Substring: Double] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let kind = fields.first, let field = fields.first(where: { $0.hasPrefix("avg10=") }),
                let value = Double(field.dropFirst("avg10=".count)), value.isFinite
            else { continue }
            values[kind] = value
        }
        guard let some = values["some"] else { return nil }
        self.init(some: some, full: values["full"] ?? 0)
    }

    /// Each figure the higher of the two.
    func orHigher(_ other: Pressure) -> Pressure { Pressure(some: max(some, other.some), full: max(full, other.full)) }

    /// What this process feels: the whole machine's, or that of its groups where it is higher (as at a group's memory limit).
    /// nil: the kernel does not tell.
    public static func now(on resource: Resource) -> Pressure? {
        let machine = TextFile.read("/proc/pressure/\(resource.rawValue)").flatMap { Pressure($0) }
        guard let own = CgroupReadings.own.pressure(on: resource) else { return machine }
        guard let machine else { return own }
        return machine.orHigher(own)
    }
}
