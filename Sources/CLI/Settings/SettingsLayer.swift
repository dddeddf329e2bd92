import CoppiceShared
import CoppiceSystem
import CoppiceYAML
import Glibc

/// One place that settings come from: names and texts.
struct SettingsLayer {
    /// The version of the settings file's format.
    static let version = 1

    private var values: [String: String]
    /// Declared in a file, in its order.
    private(set) var queues: [QueueDeclaration] = []
    /// A file's own mapping for workers.
    private(set) var worker = WorkerLookup()
    private let describe: @Sendable (String) -> String

    subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// Where a name's value comes from, for error texts.
    func source(of name: String) -> String { describe(name) }

    static var environment: SettingsLayer {
        var values: [String: String] = [:]
        for name in SettingName.all { values[name] = CurrentProcess.environment(name) }
        return SettingsLayer(values: values) { "environment variable \($0)" }
    }

    /// Whether it has a value for one of these names at least.
    func has(_ names: [String]) -> Bool { names.contains { self[$0] != nil } }

    /// Without these names.
    func without(_ names: some Collection<String>) -> SettingsLayer {
        var layer = self
        for name in names { layer.values[name] = nil }
        return layer
    }

    private init(values: [String: String], describe: @escaping @Sendable (String) -> String) {
        self.values = values
        self.describe = describe
    }

    /// What systemd hands over by `LoadCredential=`: a file for each setting, named as the setting is. A line's end is no part of it.
    static func credentials(_ folder: String) throws(SettingsError) -> SettingsLayer {
        var values: [String: String] = [:]
        for name in SettingName.all {
            if access("\(folder)/\(name)", F_OK) != 0, errno == ENOENT { continue }
            let text = String(decoding: try contents("\(folder)/\(name)", "credential \(name)"), as: UTF8.self)
            values[name] = text.hasSuffix("\n") ? String(text.dropLast()) : text
        }
        return SettingsLayer(values: values) { "credential \($0) in \(folder)" }
    }

    /// A YAML file: `version: 1`, the names of the environment with their values, `queues` (see `QueueSettings`) and `worker` (see
    /// `WorkerLookup`).
    static func file(_ path: String) throws(SettingsError) -> SettingsLayer {
        let bytes = try contents(path, "settings file")
        let root: YAMLNode?
        do { root = try YAMLDocument.read(bytes) } catch { throw SettingsError("settings file \(path)", "not YAML: \(error)") }
        guard let mapping = root?.mapping else { throw SettingsError("settings file \(path)", "not a mapping of names to values") }
        var values: [String: String] = [:]
        var queues: [QueueDeclaration] = []
        var worker = WorkerLookup()
        for entry in mapping {
            let name = entry.key
            let source = "settings file \(path), line \(entry.line)"
            if name == "queues" {
                queues = try QueueSettings.read(entry.value, path)
                continue
            }
            if name == "worker" {
                worker = try WorkerLookup(texts(entry.value, path), path: path)
                continue
            }
            guard let text = entry.value.text else { throw SettingsError(source, "a value is not plain text") }
            if name == "version" {
                guard text == String(version) else { throw SettingsError(source, "version \(text); this coppice reads version \(version)") }
                continue
            }
            guard SettingName.all.contains(name) else {
                throw SettingsError(
                    source, "unknown name \(name); known: \(SettingName.all.sorted().joined(separator: ", ")), queues, worker")
            }
            values[name] = text
        }
        var layer = SettingsLayer(values: values) { "\($0) in \(path)" }
        layer.queues = queues
        layer.worker = worker
        return layer
    }

    /// A whole small file.
    private static func contents(_ path: String, _ what: String) throws(SettingsError) -> [UInt8] {
        do {
            let descriptor = try Descriptor.open(path, flags: 0)
            var bytes: [UInt8] = []
            while case .bytes(let more) = try descriptor.read(upTo: 1 << 16) {
                bytes.append(contentsOf: more)
                guard bytes.count <= 1 << 20 else { throw SettingsError(path, "larger than 1 MiB: not a \(what)") }
            }
            return bytes
        } catch let error as SettingsError {
            throw error
        } catch {
            throw SettingsError(what, "\(error)")
        }
    }

    /// A mapping of names to a value or a list of values.
    private static func texts(_ node: YAMLNode, _ path: String) throws(SettingsError) -> [String: [String]] {
        guard let mapping = node.mapping else { throw SettingsError("worker in \(path)", "not a mapping of names to values") }
        var texts: [String: [String]] = [:]
        for entry in mapping {
            let list = entry.value.sequence ?? [entry.value]
            let values = list.compactMap(\.text)
            guard values.count == list.count else {
                throw SettingsError("worker in \(path), line \(entry.line)", "a value is neither plain text nor a list of it")
            }
            texts[entry.key] = values
        }
        return texts
    }
}
