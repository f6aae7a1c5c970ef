import Posix
import Synchronization

/// A descriptor that is made on one thread and used on another, with an end that can be named: closing does not wait
/// for the last reference to go.
final class SharedDescriptor: Sendable {
    /// Valid until `close`.
    let number: Int32
    private let descriptor: Mutex<FileDescriptor?>

    init(_ descriptor: consuming FileDescriptor) {
        number = descriptor.number
        self.descriptor = Mutex(consume descriptor)
    }

    /// Works with it; nil where it is closed. It stays open meanwhile.
    func whileOpen<Result: Sendable>(_ body: (Int32) -> Result) -> Result? {
        descriptor.withLock { $0 == nil ? nil : body(number) }
    }

    /// Closes it; a second time does nothing.
    func close() { descriptor.withLock { $0 = nil } }
}
