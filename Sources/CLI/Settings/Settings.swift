import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Glibc

/// The settings of one command: flags above the environment above systemd's credentials above the file above the defaults.
struct Settings {
    var broker: BrokerEndpoint
    var results: ResultEndpoint
    /// Those that the settings file says more of than a name.
    var queues: [QueueDeclaration]
    var maximumRetries: Int
    var timeZone: String?
    var extendsResults: Bool
    /// Seconds.
    var resultExpiry: Int
    var storesErrorsEvenIfIgnored: Bool
    /// Seconds.
    var autoscalePatience: Double?
    /// What the settings file says to workers.
    var worker: WorkerLookup
    /// Remarks on where these come from, for a person, a line each.
    var remarks: [String]

    static let defaultMaximumRetries = 5
    /// Ten years. Records are not kept for ever: nobody would ever remove them.
    private static let longestExpiry = 315_360_000

    init(_ flags: ConnectionFlags) throws(SettingsError) {
        var deployed: [SettingsLayer] = []
        if let folder = CurrentProcess.environment("CREDENTIALS_DIRECTORY") { deployed.append(try SettingsLayer.credentials(folder)) }
        if let path = flags.config ?? CurrentProcess.environment(SettingName.config) { deployed.append(try SettingsLayer.file(path)) }
        let layers = [SettingsLayer.environment] + deployed
        let lookup = Lookup(layers: layers)

        let places = try Places(flags, environment: .environment, deployed: deployed)
        broker = places.broker
        results = places.results
        remarks = places.remarks
        queues = layers.flatMap(\.queues)
        worker = layers.last?.worker ?? WorkerLookup()
        maximumRetries = try lookup.integer(SettingName.maximumRetries, 0...1_000_000) ?? Settings.defaultMaximumRetries
        extendsResults = try lookup.flag(SettingName.resultExtended) ?? false
        resultExpiry = try lookup.integer(SettingName.resultExpires, 1...Settings.longestExpiry) ?? ResultExpiry.standard
        storesErrorsEvenIfIgnored = try lookup.flag(SettingName.storeErrors) ?? false
        autoscalePatience = try lookup.value(SettingName.autoscaleKeepalive).map { (text, source) throws(SettingsError) in
            guard let seconds = Double(text), seconds.isFinite, seconds > 0 else {
                throw SettingsError(source, "'\(text)' is not a number of seconds above 0")
            }
            return seconds
        }
        timeZone = try lookup.value(SettingName.timeZone).map { (value, source) throws(SettingsError) in
            guard !value.hasPrefix("/"), !value.contains(".."), access("/usr/share/zoneinfo/\(value)", R_OK) == 0 else {
                throw SettingsError(source, "no such time zone: \(value); a name like Asia/Shanghai is wanted")
            }
            return value
        }
    }

    /// Tells the remarks to whoever typed the command.
    func tellRemarks() {
        for remark in remarks { StandardError.write("coppice: \(TerminalText.safe(remark))") }
    }

    /// Where dead letters and revocations stand: with the broker; with RabbitMQ, which has no place for them, where results do, and with
    /// `rpc://` in this host's file.
    func ledger() throws(SettingsError) -> BrokerEndpoint {
        guard case .rabbitmq = broker else { return broker }
        switch results {
        case .redis(let url): return .redis(url)
        case .sqlite(let path): return .sqlite(path: path)
        case .rabbitmq: return .sqlite(path: try Settings.embeddedPath())
        }
    }

    /// `$XDG_STATE_HOME/coppice`, which may not be there.
    static func embeddedFolder() throws(SettingsError) -> String {
        let state: String
        if let folder = CurrentProcess.environment("XDG_STATE_HOME"), folder.hasPrefix("/") {
            state = folder
        } else if let home = CurrentProcess.environment("HOME"), !home.isEmpty {
            state = home + "/.local/state"
        } else {
            throw SettingsError("embedded broker", "neither XDG_STATE_HOME nor HOME is set: name a file with --broker sqlite:////PATH")
        }
        return state + "/coppice"
    }

    /// `$XDG_STATE_HOME/coppice/coppice.db`, with its folder.
    static func embeddedPath() throws(SettingsError) -> String {
        var path = ""
        for part in try embeddedFolder().split(separator: "/") {
            path += "/" + part
            if mkdir(path, 0o700) != 0, errno != EEXIST, errno != EISDIR {
                let reason = String(cString: strerror(errno))
                throw SettingsError(
                    "embedded broker", "can't make the folder \(path) (\(reason)): name a file with --broker sqlite:////PATH")
            }
        }
        return path + "/coppice.db"
    }
}
