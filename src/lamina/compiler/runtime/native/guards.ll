; Guards: what must still be as it was for a recording to run again, checked in one pass with the GIL held. No Python code runs here.

%Guard = type { i64, ptr, i64, ptr, ptr }
; 0 kind, 1 object, 2 offset in it, or key, 3 what must be there, 4 its type where values are compared, else null
; kinds: 0 the word at the offset, 1 the item of a dict, 2 the number of references

@PyFloat_Type = external global i8
declare ptr @PyDict_GetItem(ptr, ptr) nounwind
declare i32 @PyObject_RichCompareBool(ptr, ptr, i32) nounwind

; Whether all guards hold.
define internal i1 @hold(ptr %guards, i64 %count) noinline nounwind {
  br label %each
each:
  %i = phi i64 [0, %0], [%i.next, %next]
  %complete = icmp eq i64 %i, %count
  br i1 %complete, label %yes, label %guard
guard:
  %guard.at = getelementptr %Guard, ptr %guards, i64 %i
  %kind = load i64, ptr %guard.at
  %object.at = getelementptr %Guard, ptr %guard.at, i64 0, i32 1
  %object = load ptr, ptr %object.at
  %offset.at = getelementptr %Guard, ptr %guard.at, i64 0, i32 2
  %offset = load i64, ptr %offset.at
  %expected.at = getelementptr %Guard, ptr %guard.at, i64 0, i32 3
  %expected = load ptr, ptr %expected.at
  switch i64 %kind, label %word [i64 1, label %item
                                 i64 2, label %references]
word:
  %word.at = getelementptr i8, ptr %object, i64 %offset
  %word.is = load ptr, ptr %word.at
  br label %compare
item:
  %key = inttoptr i64 %offset to ptr
  %item.is = call ptr @PyDict_GetItem(ptr %object, ptr %key)
  br label %compare
references:                                       ; the lower half: the upper one holds flags where there are flags
  %number = load i32, ptr %object
  %wide = zext i32 %number to i64
  %references.is = inttoptr i64 %wide to ptr
  br label %compare

compare:
  %is = phi ptr [%word.is, %word], [%item.is, %item], [%references.is, %references]
  %same = icmp eq ptr %is, %expected
  br i1 %same, label %next, label %other
other:                                            ; another object, but perhaps of the same value
  %type.at = getelementptr %Guard, ptr %guard.at, i64 0, i32 4
  %type = load ptr, ptr %type.at
  %by.value = icmp ne ptr %type, null
  %there = icmp ne ptr %is, null
  %comparable = and i1 %by.value, %there
  br i1 %comparable, label %value, label %no
value:
  %is.type.at = getelementptr i8, ptr %is, i64 8
  %is.type = load ptr, ptr %is.type.at
  %alike = icmp eq ptr %is.type, %type
  br i1 %alike, label %typed, label %no
typed:
  %float = icmp eq ptr %type, @PyFloat_Type
  br i1 %float, label %bits, label %rich
bits:                                             ; 0.0 is not -0.0, and NaN is NaN
  %is.float.at = getelementptr i8, ptr %is, i64 16
  %is.float = load i64, ptr %is.float.at
  %expected.float.at = getelementptr i8, ptr %expected, i64 16
  %expected.float = load i64, ptr %expected.float.at
  %float.same = icmp eq i64 %is.float, %expected.float
  br i1 %float.same, label %next, label %no
rich:
  %equal = call i32 @PyObject_RichCompareBool(ptr %is, ptr %expected, i32 2)
  %is.equal = icmp eq i32 %equal, 1
  br i1 %is.equal, label %next, label %no
next:
  %i.next = add i64 %i, 1
  br label %each
yes:
  ret i1 true
no:
  ret i1 false
}
