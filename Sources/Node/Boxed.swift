/// A large value on the heap: whoever copies what it is a part of copies a reference, and the value itself is copied
/// when it is changed while it is shared.
@propertyWrapper
struct Boxed<Value: Sendable>: Sendable {
    // Nobody changes it who is not the only one that has it.
    private final class Box: @unchecked Sendable {
        var value: Value

        init(_ value: Value) { self.value = value }
    }

    private var box: Box

    init(wrappedValue: Value) { box = Box(wrappedValue) }

    var wrappedValue: Value {
        // Both lend the value where it stands.
        _read { yield box.value }
        _modify {
            if !isKnownUniquelyReferenced(&box) { box = Box(box.value) }
            yield &box.value
        }
    }
}
