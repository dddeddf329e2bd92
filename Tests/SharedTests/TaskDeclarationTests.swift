import CoppiceShared
import Testing

/// What a child declares is foreign: a limit is a positive number of seconds or none.
@Suite struct TaskDeclarationTests {
    @Test(arguments: [-1e300, -.infinity, .infinity, .nan, 0, -1] as [Double]) func whatIsNoLimitIsNone(_ seconds: Double) {
        let declaration = TaskDeclaration(name: "t", options: ["time_limit": .double(seconds), "soft_time_limit": .double(seconds)])
        #expect(declaration.timeLimit == nil)
        #expect(declaration.softTimeLimit == nil)
    }

    @Test func whatIsOneCounts() {
        let declaration = TaskDeclaration(name: "t", options: ["time_limit": 2, "soft_time_limit": .double(0.5)])
        #expect(declaration.timeLimit == 2)
        #expect(declaration.softTimeLimit == 0.5)
    }
}
