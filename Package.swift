// swift-tools-version: 6.2
import PackageDescription

// Target names carry the prefix because SwiftPM wants them unique across a user's whole package graph;
// folders do not, because a reader wants them short. docs/ARCHITECTURE.md says who may import whom, and
// scripts/check-imports holds the code to it.

let package = Package(
    name: "coppice",
    products: [
        .executable(name: "coppice", targets: ["CoppiceCLI"]),
        .executable(name: "coppice-exec", targets: ["CoppiceTrampoline"]),
        .executable(name: "example-worker", targets: ["ExampleWorker"]),
        .executable(name: "drill-worker", targets: ["DrillWorker"]),
        .library(name: "CoppiceWorkerProcess", targets: ["CoppiceWorkerProcess"]),
    ],
    dependencies: [
        // The command line: help texts, completion, exit codes.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        // Deque and Heap in the master's intake.
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        // The logger that tasks are given, and the master's own; no more than an interface.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        // C libraries: a module map and the few lines that Swift can't import. One Swift wrapper each, no other importer.
        .target(name: "CLinux", path: "Sources/CLinux"),
        .systemLibrary(name: "CSystemd", path: "Sources/CSystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CHiredis", path: "Sources/CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CRabbitMQ", path: "Sources/CRabbitMQ", providers: [.apt(["librabbitmq-dev"])]),
        .systemLibrary(name: "CSQLite", path: "Sources/CSQLite", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CZlib", path: "Sources/CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CAres", path: "Sources/CAres", providers: [.apt(["libc-ares-dev"])]),
        .systemLibrary(name: "COpenSSL", path: "Sources/COpenSSL", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYaml", path: "Sources/CYaml", providers: [.apt(["libyaml-dev"])]),

        .target(name: "CoppiceShared", path: "Sources/Shared"),
        .target(name: "CoppiceSystem", dependencies: ["CLinux", "CoppiceShared"], path: "Sources/System"),
        .target(name: "CoppiceEventLoop", dependencies: ["CSystemd", "CoppiceSystem", "CoppiceShared"], path: "Sources/EventLoop"),
        .target(name: "CoppiceNames", dependencies: ["CAres", "CoppiceSystem", "CoppiceShared"], path: "Sources/Names"),
        .target(name: "CoppiceTLS", dependencies: ["COpenSSL", "CoppiceSystem", "CoppiceShared"], path: "Sources/TLS"),
        .target(name: "CoppiceDial", dependencies: ["CoppiceNames", "CoppiceTLS", "CoppiceSystem", "CoppiceShared"], path: "Sources/Dial"),
        .target(
            name: "CoppiceRedis", dependencies: ["CHiredis", "CoppiceDial", "CoppiceTLS", "CoppiceSystem", "CoppiceShared"],
            path: "Sources/Redis"),
        // Of librabbitmq the codec alone: its own calls block.
        .target(
            name: "CoppiceAMQP", dependencies: ["CRabbitMQ", "CoppiceDial", "CoppiceTLS", "CoppiceSystem", "CoppiceShared"],
            path: "Sources/AMQP"),
        .target(name: "CoppiceZlib", dependencies: ["CZlib"], path: "Sources/Zlib"),
        .target(name: "CoppiceYAML", dependencies: ["CYaml"], path: "Sources/YAML"),
        .target(name: "CoppiceSQLite", dependencies: ["CSQLite", "CoppiceSystem", "CoppiceShared"], path: "Sources/SQLite"),
        .target(
            name: "CoppiceTransport",
            dependencies: ["CoppiceRedis", "CoppiceAMQP", "CoppiceSQLite", "CoppiceSystem", "CoppiceShared"], path: "Sources/Transport"),
        .target(
            name: "CoppiceResults",
            dependencies: ["CoppiceRedis", "CoppiceAMQP", "CoppiceSQLite", "CoppiceSystem", "CoppiceShared"], path: "Sources/Results"),
        .target(
            name: "CoppiceSupervisor",
            dependencies: [
                "CoppiceEventLoop", "CoppiceTransport", "CoppiceResults", "CoppiceSystem", "CoppiceShared",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ], path: "Sources/Supervisor"),
        .target(
            name: "CoppiceWorkerProcess",
            dependencies: ["CoppiceZlib", "CoppiceSystem", "CoppiceShared", .product(name: "Logging", package: "swift-log")],
            path: "Sources/WorkerProcess"),
        .target(
            name: "CoppiceClient", dependencies: ["CoppiceTransport", "CoppiceResults", "CoppiceSystem", "CoppiceShared"],
            path: "Sources/Client"),
        .executableTarget(
            name: "CoppiceCLI",
            dependencies: [
                "CoppiceSupervisor", "CoppiceClient", "CoppiceTransport", "CoppiceResults", "CoppiceRedis", "CoppiceAMQP", "CoppiceYAML",
                "CoppiceSystem", "CoppiceShared",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], path: "Sources/CLI"),
        // Stands in the way of each start of a child: static, and without Swift's libraries, it adds 0.4 ms to it and not 12.
        .executableTarget(
            name: "CoppiceTrampoline", path: "Sources/Trampoline",
            linkerSettings: [.unsafeFlags(["-static-executable", "-nostartfiles"])]),

        // libcurl, loaded by the example at its first e-mail.
        .target(name: "CCurl", path: "Examples/CCurl"),
        .executableTarget(name: "ExampleWorker", dependencies: ["CoppiceWorkerProcess", "CCurl"], path: "Examples/ExampleWorker"),
        .executableTarget(name: "DrillWorker", dependencies: ["CoppiceWorkerProcess"], path: "Examples/DrillWorker"),

        // Random numbers and recorded messages, for every test target.
        .target(name: "CoppiceTestSupport", dependencies: ["CoppiceShared"], path: "Tests/TestSupport"),
        .testTarget(
            name: "TransportTests",
            dependencies: [
                "CoppiceTransport", "CoppiceResults", "CoppiceRedis", "CoppiceAMQP", "CoppiceDial", "CoppiceTLS", "CoppiceSQLite",
                "CoppiceSystem", "CoppiceShared",
            ], path: "Tests/TransportTests"),
        .testTarget(
            name: "CoppiceAMQPTests",
            dependencies: ["CoppiceAMQP", "CoppiceDial", "CoppiceTLS", "CoppiceSystem", "CoppiceShared", "CoppiceTestSupport"],
            path: "Tests/AMQPTests"),
        .testTarget(name: "YAMLTests", dependencies: ["CoppiceYAML", "CoppiceTestSupport"], path: "Tests/YAMLTests"),
        .testTarget(name: "NamesTests", dependencies: ["CoppiceNames", "CoppiceSystem", "CoppiceShared"], path: "Tests/NamesTests"),
        .testTarget(
            name: "CoppiceEventLoopTests", dependencies: ["CoppiceEventLoop", "CoppiceSystem", "CoppiceShared"], path: "Tests/EventLoopTests"),
        .testTarget(name: "CoppiceSharedTests", dependencies: ["CoppiceShared", "CoppiceTestSupport"], path: "Tests/SharedTests"),
        .testTarget(
            name: "CoppiceRedisTests", dependencies: ["CoppiceRedis", "CoppiceDial", "CoppiceTLS", "CoppiceSystem", "CoppiceShared", "CoppiceTestSupport"],
            path: "Tests/RedisTests"),
        .testTarget(
            name: "CoppiceSupervisorTests",
            dependencies: [
                "CoppiceSupervisor", "CoppiceEventLoop", "CoppiceTransport", "CoppiceResults", "CoppiceSystem", "CoppiceShared",
                "CoppiceTestSupport", .product(name: "Logging", package: "swift-log"),
            ], path: "Tests/SupervisorTests"),
        // Its corpus is libFuzzer's, too: scripts/fuzz compiles the decoders without SwiftPM, which links a main of its own.
        .testTarget(
            name: "FuzzTests",
            dependencies: ["CoppiceShared", "CoppiceRedis", "CoppiceSupervisor", "CoppiceSystem", "CoppiceTestSupport"],
            path: "Tests/fuzz", exclude: ["corpus"]),
        // The process tests start drill-worker, which stands beside the test binary.
        .testTarget(
            name: "CoppiceWorkerProcessTests",
            dependencies: ["CoppiceWorkerProcess", "CoppiceSystem", "CoppiceShared"], path: "Tests/WorkerProcessTests"),
    ],
    swiftLanguageModes: [.v6]
)
