import CoppiceAMQP
import CoppiceRedis
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

    static let defaultMaximumRetries = 5
    /// Ten years. Records are not kept for ever: nobody would ever remove them.
    private static let longestExpiry = 315_360_000

    init(_ flags: ConnectionFlags) throws(SettingsError) {
        var layers = [SettingsLayer.environment]
        if let folder = CurrentProcess.environment("CREDENTIALS_DIRECTORY") { layers.append(try SettingsLayer.credentials(folder)) }
        if let path = flags.config ?? CurrentProcess.environment("COPPICE_CONFIG") { layers.append(try SettingsLayer.file(path)) }
        let lookup = Lookup(layers: layers)

        broker = try Settings.broker(flag: flags.broker, lookup)
        results = try Settings.results(flag: flags.resultBackend, lookup, broker: broker)
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

    private static func broker(flag: String?, _ lookup: Lookup) throws(SettingsError) -> BrokerEndpoint {
        if let flag { return try endpoint(flag, "--broker") }
        for layer in lookup.layers {
            if let url = layer[SettingName.brokerURL] { return try endpoint(url, layer.source(of: SettingName.brokerURL)) }
            guard let kind = layer[SettingName.broker] else { continue }
            let source = layer.source(of: SettingName.broker)
            switch kind {
            case "redis": return .redis(try redis(lookup))
            case "rabbitmq": return .rabbitmq(try rabbitmq(lookup))
            default:
                // A URL that was put in the wrong place holds a password.
                let quoted = kind.contains { $0 == ":" || $0 == "@" } ? "this is no kind of broker" : "unknown broker '\(kind)'"
                throw SettingsError(source, "\(quoted): redis or rabbitmq, or unset for the embedded broker")
            }
        }
        return .sqlite(path: try embeddedPath())
    }

    private static func results(flag: String?, _ lookup: Lookup, broker: BrokerEndpoint) throws(SettingsError) -> ResultEndpoint {
        let given = flag.map { ($0, "--result-backend") } ?? lookup.value(SettingName.resultBackend)
        var place = broker
        if let (url, source) = given, url != "rpc", !url.hasPrefix("rpc://") {
            place = try endpoint(url, source)
            if case .rabbitmq = place { throw SettingsError(source, "results over RabbitMQ are called rpc://") }
        } else if let source = given?.1 {
            guard case .rabbitmq = broker else {
                throw SettingsError(source, "rpc:// is for a RabbitMQ broker: name a redis:// or sqlite:/// store")
            }
        }
        switch place {
        case .redis(let url): return .redis(url)
        case .rabbitmq(let url): return .rabbitmq(url)
        case .sqlite(let path): return .sqlite(path: path)
        }
    }

    private static func endpoint(_ url: String, _ source: String) throws(SettingsError) -> BrokerEndpoint {
        do { return try BrokerEndpoint(url: url) } catch { throw SettingsError(source, error.description) }
    }

    private static func redis(_ lookup: Lookup) throws(SettingsError) -> RedisURL {
        RedisURL(
            endpoint: .tcp(
                host: lookup.value(SettingName.redisHost)?.text ?? "localhost",
                port: UInt16(try lookup.integer(SettingName.redisPort, 1...65535) ?? 6379)),
            password: lookup.value(SettingName.redisPassword)?.text,
            database: try lookup.integer(SettingName.redisDatabase, 0...1_000_000) ?? 0)
    }

    private static func rabbitmq(_ lookup: Lookup) throws(SettingsError) -> AMQPURL {
        let host = lookup.value(SettingName.rabbitHost)?.text ?? "localhost"
        let port = UInt16(try lookup.integer(SettingName.rabbitPort, 1...65535) ?? 5672)
        return AMQPURL(
            host: host, port: port, user: lookup.value(SettingName.rabbitUser)?.text ?? "guest",
            password: lookup.value(SettingName.rabbitPassword)?.text ?? "guest",
            virtualHost: lookup.value(SettingName.rabbitVirtualHost)?.text ?? "/")
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

    /// `$XDG_STATE_HOME/coppice/coppice.db`, with its folder.
    static func embeddedPath() throws(SettingsError) -> String {
        let state: String
        if let folder = CurrentProcess.environment("XDG_STATE_HOME"), folder.hasPrefix("/") {
            state = folder
        } else if let home = CurrentProcess.environment("HOME"), !home.isEmpty {
            state = home + "/.local/state"
        } else {
            throw SettingsError("embedded broker", "neither XDG_STATE_HOME nor HOME is set: name a file with --broker sqlite:////PATH")
        }
        var path = ""
        for part in (state + "/coppice").split(separator: "/") {
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

/// The layers, highest first.
struct Lookup {
    var layers: [SettingsLayer]

    func value(_ name: String) -> (text: String, source: String)? {
        for layer in layers { if let text = layer[name] { return (text, layer.source(of: name)) } }
        return nil
    }

    /// As YAML has it, and as shells do.
    func flag(_ name: String) throws(SettingsError) -> Bool? {
        guard let (text, source) = value(name) else { return nil }
        return try Lookup.flag(text, source)
    }

    static func flag(_ text: String, _ source: String) throws(SettingsError) -> Bool {
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default: throw SettingsError(source, "'\(text)' is neither true nor false")
        }
    }

    func integer(_ name: String, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        guard let (text, source) = value(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw SettingsError(source, "'\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
