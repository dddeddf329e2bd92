import CoppiceSQLite
import Testing

/// How the embedded broker's file comes to be.
@Suite struct StoreFileTests {
    @Test func whoComesWhileItIsMadeFindsItWholeOrIsToldToComeAgain() async throws {
        let folder = try TemporaryFolder()
        for round in 0..<100 {
            let path = folder.file("\(round).db")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        while true {
                            do {
                                _ = try StoreFile.open(path)
                                return
                            } catch let error as StoreFileError where error.isBusy {
                                await Task.yield()
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
