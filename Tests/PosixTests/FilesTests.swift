import Glibc
import Posix
import TestSupport
import Testing

@Suite struct FilesTests {
    @Test(arguments: [0o600, 0o640, 0o666, 0o777] as [UInt32])
    func replaceSetsContentAndExactMode(mode: UInt32) throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/file"
        try Files.replace(path, with: "first".utf8, mode: 0o644)
        try Files.replace(path, with: "second".utf8, mode: mode)
        #expect(try Files.readText(path) == "second")
        #expect(Files.mode(path) == mode)
        #expect(try Files.list(directory.path) == ["file"])
    }

    /// File systems know years that nanoseconds since the epoch do not.
    @Test func modificationTimesAreCut() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/file"
        try Files.replace(path, with: "".utf8, mode: 0o600)
        for seconds in [15_000_000_000, -15_000_000_000] {
            let time = timespec(tv_sec: seconds, tv_nsec: 0)
            // A file system that cannot hold the time cuts it itself.
            guard utimensat(AT_FDCWD, path, [time, time], 0) == 0 else { continue }
            #expect(Files.modificationTime(path) != nil)
        }
    }

    /// Whoever holds the old file keeps the old content: the new one is another file under the same name.
    @Test func replaceIsAtomic() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/file"
        try Files.replace(path, with: "old".utf8, mode: 0o600)
        let reader = try FileDescriptor.open(path, O_RDONLY)
        try Files.replace(path, with: "new content".utf8, mode: 0o600)
        #expect(try reader.read(count: 100) == Array("old".utf8))
        #expect(try Files.readText(path) == "new content")
    }

    @Test func aReplacementThatFailsLeavesNothingBehind() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/taken"
        try Files.makeDirectory("\(path)/inside")
        let error = #expect(throws: SystemError.self) { try Files.replace(path, with: "x".utf8, mode: 0o600) }
        #expect(error?.call == "rename")
        #expect(try Files.list(directory.path) == ["taken"])
        #expect(throws: SystemError.self) { try Files.replace("/nowhere/file", with: "x".utf8, mode: 0o600) }
    }

    @Test func removeTreeRemovesLinksAndNotWhatTheyPointTo() throws {
        let directory = try TemporaryDirectory()
        let (tree, kept) = ("\(directory.path)/tree", "\(directory.path)/kept")
        try Files.makeDirectory("\(tree)/a/b")
        try Files.makeDirectory(kept)
        try Files.replace("\(kept)/file", with: "x".utf8, mode: 0o600)
        try Files.replace("\(tree)/a/b/file", with: "x".utf8, mode: 0o400)
        #expect(symlink(kept, "\(tree)/a/link") == 0)
        #expect(symlink("/nowhere", "\(tree)/dangling") == 0)
        try Files.removeTree(tree)
        #expect(Files.kind(tree) == .missing)
        #expect(try Files.list(kept) == ["file"])

        #expect(symlink(kept, tree) == 0)
        try Files.removeTree(tree)
        #expect(Files.kind(tree) == .missing)
        #expect(Files.kind(kept) == .directory)
        #expect(throws: Never.self) { try Files.removeTree(tree) }
    }

    @Test func kinds() throws {
        let directory = try TemporaryDirectory()
        let (file, link) = ("\(directory.path)/file", "\(directory.path)/link")
        try Files.replace(file, with: [], mode: 0o600)
        #expect(symlink(directory.path, link) == 0)
        #expect(Files.kind(file) == .file)
        #expect(Files.kind(directory.path) == .directory)
        #expect(Files.kind(link) == .symbolicLink)
        #expect(Files.kind(followingLinks: link) == .directory)
        #expect(Files.kind("/dev/null") == .other)
        #expect(Files.kind("\(file)x") == .missing)
        #expect(Files.mode("\(file)x") == nil)
    }

    @Test func readingIsBounded() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/file"
        try Files.replace(path, with: Array(repeating: 0x61, count: 100), mode: 0o600)
        #expect(try Files.read(path, limit: 100).count == 100)
        let error = #expect(throws: SystemError.self) { try Files.read(path, limit: 99) }
        #expect(error?.code == EFBIG)
        let missing = #expect(throws: SystemError.self) { try Files.read("\(path)x") }
        #expect(missing?.code == ENOENT)
        #expect(missing?.description == "open \(path)x: No such file or directory")
    }

    @Test func namesAreSorted() throws {
        let directory = try TemporaryDirectory()
        for name in ["b", "a", ".c", "10", "9"] {
            try Files.replace("\(directory.path)/\(name)", with: [], mode: 0o600)
        }
        #expect(try Files.list(directory.path) == [".c", "10", "9", "a", "b"])
    }

    @Test func descriptorsAreClosedWithTheirOwner() throws {
        func openAndForget() throws -> Int32 { try FileDescriptor.open("/dev/null", O_RDONLY).number }
        let number = try openAndForget()
        // Another test may have been given the number since: then it names something else than /dev/null.
        let target = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer -> String in
            buffer.initialize(repeating: 0)
            guard let base = buffer.baseAddress, readlink("/proc/self/fd/\(number)", base, 63) > 0 else { return "" }
            return String(cString: base)
        }
        #expect(target != "/dev/null")
    }
}
