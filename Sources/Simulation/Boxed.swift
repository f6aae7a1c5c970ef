/// A large value on the heap: whoever copies what it is a part of copies a reference, and the value itself is copied
/// when it is changed while it is shared.
@propertyWrapper
struct Boxed<Value> {
    private final class Box {
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
