import CoppiceAMQP
import CoppiceRedis
import CoppiceResults
import CoppiceTransport

/// The broker and the result store, as the settings name them: by URLs, or by the parts of an address.
///
/// Where credentials or the settings file name a broker, no variable of an application moves it. Of the environment only `COPPICE_*` goes
/// before them then. The rest of it fills in a user or a password that is missing, and the address where nothing is said but the kind.
struct Places {
    private(set) var broker: BrokerEndpoint
    private(set) var results: ResultEndpoint
    /// Remarks on how these came about, for a person, a line each.
    private(set) var remarks: [String] = []

    /// - Parameter deployed: credentials and file, what was put there for Coppice and nobody else.
    init(_ flags: ConnectionFlags, environment: SettingsLayer, deployed: [SettingsLayer]) throws(SettingsError) {
        // Kubernetes sets such variables for a service of that name.
        let linked = [SettingName.redisPort, SettingName.rabbitPort].filter { environment[$0]?.hasPrefix("tcp://") ?? false }
        let sources = Sources(environment: environment.without(linked), deployed: deployed)
        let naming = try Places.naming(flag: flags.broker, sources)
        switch naming {
        case .url(let text, let source): broker = sources.completed(try Places.endpoint(text, source, served: Places.brokers))
        case .redisParts(let remark):
            broker = .redis(try sources.redis(forResults: false))
            if let remark { remarks.append("\(remark): \(broker)") }
        case .rabbitParts: broker = .rabbitmq(try sources.rabbitmq())
        case .nobody:
            broker = .sqlite(path: try Settings.embeddedPath())
            remarks.append("no broker is configured, and the embedded one is used: \(broker)")
        }
        results = try Places.results(flag: flags.resultBackend, sources, naming, broker)
        remarks += linked.filter { naming.wants(port: $0, sources) }.map {
            "\(environment.source(of: $0)) is passed over: it is an address, as Kubernetes sets it for a service, and no port"
        }
        let flagged = (flags.broker == nil ? [] : SettingName.brokers) + (flags.resultBackend == nil ? [] : SettingName.resultStores)
        remarks += sources.passedOver.filter { !flagged.contains($0.name) }.map {
            "\(environment.source(of: $0.name)) is passed over: \($0.reason)"
        }
    }

    private enum Naming {
        case url(String, source: String)
        /// With what there is to say of it, where nobody has said `CELERY_BROKER=redis`.
        case redisParts(remark: String?)
        case rabbitParts
        case nobody

        /// Whether this port would be read.
        func wants(port name: String, _ sources: Sources) -> Bool {
            switch self {
            case .redisParts: name == SettingName.redisPort
            case .rabbitParts: name == SettingName.rabbitPort || sources.namesRedis
            case .url: false
            case .nobody: true
            }
        }
    }

    private static func naming(flag: String?, _ sources: Sources) throws(SettingsError) -> Naming {
        if let flag { return .url(flag, source: "--broker") }
        for layer in sources.brokers.layers {
            for name in [SettingName.brokerURL, SettingName.celeryBrokerURL] {
                if let url = layer[name] { return .url(url, source: layer.source(of: name)) }
            }
            switch layer[SettingName.broker] {
            case nil: continue
            case "redis": return .redisParts(remark: nil)
            case "rabbitmq": return .rabbitParts
            case .some(let kind):
                // A URL that was put in the wrong place holds a password.
                let quoted = kind.contains { $0 == ":" || $0 == "@" } ? "this is no kind of broker" : "unknown broker '\(kind)'"
                throw SettingsError(
                    layer.source(of: SettingName.broker), "\(quoted): redis or rabbitmq, or unset for the embedded broker")
            }
        }
        for name in [SettingName.redisHost, SettingName.redisPassword] {
            guard let source = sources.addresses.value(name)?.source else { continue }
            return .redisParts(remark: "no broker is named, and for \(source) Redis is used, as CELERY_BROKER=redis has it")
        }
        for name in SettingName.rabbitParts + SettingName.rabbitLogin {
            guard let source = sources.addresses.value(name)?.source else { continue }
            throw SettingsError(source, "nothing says that this RabbitMQ is the broker: set CELERY_BROKER=rabbitmq, or remove it")
        }
        return .nobody
    }

    private static func results(
        flag: String?, _ sources: Sources, _ naming: Naming, _ broker: BrokerEndpoint
    ) throws(SettingsError) -> ResultEndpoint {
        guard let (url, source) = flag.map({ ($0, "--result-backend") }) ?? sources.resultURL else {
            switch (naming, broker) {
            case (.redisParts, _): return .redis(try sources.redis(forResults: true))
            // The clients of a RabbitMQ beside which a Redis is named look for their results there.
            case (.rabbitParts, _) where sources.namesRedis: return .redis(try sources.redis(forResults: true))
            case (_, .redis(let url)): return .redis(url)
            case (_, .rabbitmq(let url)): return .rabbitmq(url)
            case (_, .sqlite(let path)): return .sqlite(path: path)
            }
        }
        if url == "rpc" || url.hasPrefix("rpc://") {
            guard case .rabbitmq(let url) = broker else {
                throw SettingsError(source, "rpc:// is for a RabbitMQ broker: name a redis:// or sqlite:/// store")
            }
            return .rabbitmq(url)
        }
        switch sources.completed(try endpoint(url, source, served: stores)) {
        case .redis(let url): return .redis(url)
        case .rabbitmq: throw SettingsError(source, "results over RabbitMQ are called rpc://")
        case .sqlite(let path): return .sqlite(path: path)
        }
    }

    /// Celery takes these where a URL may stand. Any other text that is no URL is not quoted: it may be a password.
    private static let celerysWords: Set = [
        "cache", "cassandra", "couchbase", "couchdb", "database", "db", "disabled", "django-cache", "django-db", "dynamodb",
        "elasticsearch", "memory", "mongodb",
    ]

    private static let brokers = "redis://…, amqp://… or sqlite:///PATH"
    private static let stores = "redis://…, sqlite:///PATH or, with a RabbitMQ broker, rpc://"

    private static func endpoint(_ url: String, _ source: String, served: String) throws(SettingsError) -> BrokerEndpoint {
        guard !celerysWords.contains(url) else {
            throw SettingsError(source, "'\(url)' is nothing that coppice can serve: use \(served)")
        }
        do { return try BrokerEndpoint(url: url, served: served) } catch { throw SettingsError(source, error.description) }
    }
}

/// In which layers each of a place's names is looked for.
private struct Sources {
    let brokers: Lookup
    /// Of an address in parts: host, port, database, prefix, virtual host.
    let addresses: Lookup
    private let stores: Lookup
    private let logins: Lookup
    /// Variables that would be heeded if nothing were deployed, and why they are not.
    let passedOver: [(name: String, reason: String)]

    init(environment: SettingsLayer, deployed: [SettingsLayer]) {
        let lower = Lookup(layers: [environment.without(SettingName.applications)] + deployed)
        let filled = Lookup(layers: lower.layers + [environment])
        let all = Lookup(layers: [environment] + deployed)
        let broker = Sources.first(SettingName.brokers, deployed)
        let store = broker ?? Sources.first(SettingName.resultStores, deployed)
        let saysWhere = deployed.contains { $0.has(SettingName.redisParts + SettingName.rabbitParts) }
        brokers = broker == nil ? all : lower
        stores = store == nil ? all : lower
        addresses = broker == nil ? all : saysWhere ? lower : filled
        logins = broker == nil ? all : filled
        let unheeded =
            (broker.map { source in [SettingName.celeryBrokerURL, SettingName.broker].map { ($0, source) } } ?? [])
            + (store.map { source in [(SettingName.celeryResultBackend, source)] } ?? [])
        passedOver = unheeded.compactMap { name, source in
            let own = name == SettingName.celeryResultBackend ? SettingName.resultBackend : SettingName.brokerURL
            guard let text = environment[name], environment[own] == nil, lower.value(name)?.text != text else { return nil }
            return (name, "\(source) goes before an application's variables, and \(own) would go before that")
        }
    }

    /// The source of the first of these names that a layer has.
    private static func first(_ names: [String], _ layers: [SettingsLayer]) -> String? {
        for layer in layers { for name in names where layer[name] != nil { return layer.source(of: name) } }
        return nil
    }

    var resultURL: (text: String, source: String)? {
        for layer in stores.layers {
            for name in SettingName.resultStores { if let url = layer[name] { return (url, layer.source(of: name)) } }
        }
        return nil
    }

    /// Whether there is a Redis beside a RabbitMQ.
    var namesRedis: Bool {
        [
            SettingName.redisHost, SettingName.redisPort, SettingName.redisPassword, SettingName.resultDatabase, SettingName.resultPrefix,
        ].contains { addresses.value($0) != nil }
    }

    func redis(forResults: Bool) throws(SettingsError) -> RedisURL {
        let host = addresses.value(SettingName.redisHost)?.text ?? "localhost"
        let port = UInt16(try addresses.integer(SettingName.redisPort, 1...65535) ?? 6379)
        let shared = try addresses.integer(SettingName.redisDatabase, 0...1_000_000) ?? 0
        var url = RedisURL(endpoint: .tcp(host: host, port: port), database: shared)
        if forResults {
            url.database = try addresses.integer(SettingName.resultDatabase, 0...1_000_000) ?? shared
            if let (prefix, source) = addresses.value(SettingName.resultPrefix) {
                do { url.keyPrefix = try RedisURL.keyPrefix(prefix) } catch { throw SettingsError(source, error.description) }
            }
        }
        return completed(url)
    }

    func rabbitmq() throws(SettingsError) -> AMQPURL {
        AMQPURL(
            host: addresses.value(SettingName.rabbitHost)?.text ?? "localhost",
            port: UInt16(try addresses.integer(SettingName.rabbitPort, 1...65535) ?? 5672),
            user: logins.value(SettingName.rabbitUser)?.text ?? "guest",
            password: logins.value(SettingName.rabbitPassword)?.text ?? "guest",
            virtualHost: addresses.value(SettingName.rabbitVirtualHost)?.text ?? "/")
    }

    func completed(_ endpoint: BrokerEndpoint) -> BrokerEndpoint {
        if case .redis(let url) = endpoint { .redis(completed(url)) } else { endpoint }
    }

    private func completed(_ url: RedisURL) -> RedisURL {
        logins.value(SettingName.redisPassword).map { url.completed(password: $0.text) } ?? url
    }
}
