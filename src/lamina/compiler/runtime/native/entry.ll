; What Python calls, entry(*arrays), and what that runs: the launches of one segment of a program.
;
; self is a tuple: the table (an ndarray of int64; its layout is _Table's in program.py), and a Python function that is called with the
; same arguments when they are wrong, and raises. With guards (guards.ll) it returns whether they hold, and runs only then; else None.
; TUPLE_ITEMS and COUNTED are filled in by native.py: where a tuple's items begin, and 1 where Python counts references to None. An object's type is 8 bytes into it, an ndarray's data pointer 16: native.py asserts that.

%Table = type { ptr, i64, ptr, ptr, i64, i64, ptr, ptr, ptr, i64, ptr, ptr, i64, i64, i64 }
; 0 pool, 1 arguments, 2 their slots, 3 launches, 4 their number, 5 whether to release the GIL, 6 lock of the program, 7 scratch,
; 8 times or null, 9 most operands of a launch, 10 numpy.ndarray, 11 guards or null, 12 their number,
; 13 whether workers will be wanted, 14 how often it ran to its end
%Launch = type { ptr, i64, ptr, i64, i64, i64 }
; 0 kernel, 1 units, 2 operands, 3 their number, 4 how many threads it is worth, 5 bytes of scratch
%Operand = type { ptr, i64 }
; 0 slot, 1 bytes to add to what it holds

@_Py_NoneStruct = external global i64
@_Py_TrueStruct = external global i64
@_Py_FalseStruct = external global i64
declare i32 @PyType_IsSubtype(ptr, ptr) nounwind
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr) nounwind
declare ptr @PyEval_SaveThread() nounwind
declare void @PyEval_RestoreThread(ptr) nounwind
declare i32 @sched_yield() nounwind
declare i32 @clock_gettime(i32, ptr) nounwind

define ptr @entry(ptr %self, ptr %args, i64 %count) nounwind {
  %items = getelementptr i8, ptr %self, i64 TUPLE_ITEMS
  %holder = load ptr, ptr %items
  %data = getelementptr i8, ptr %holder, i64 16
  %table = load ptr, ptr %data
  %expected.at = getelementptr %Table, ptr %table, i64 0, i32 1
  %expected = load i64, ptr %expected.at
  %enough = icmp eq i64 %count, %expected
  br i1 %enough, label %check, label %wrong

check:
  %class.at = getelementptr %Table, ptr %table, i64 0, i32 10
  %class = load ptr, ptr %class.at
  br label %check.head
check.head:
  %i = phi i64 [0, %check], [%i.next, %check.next]
  %checked = icmp eq i64 %i, %count
  br i1 %checked, label %guards, label %check.body
check.body:
  %arg.at = getelementptr ptr, ptr %args, i64 %i
  %arg = load ptr, ptr %arg.at
  %type.at = getelementptr i8, ptr %arg, i64 8
  %type = load ptr, ptr %type.at
  %exact = icmp eq ptr %type, %class
  br i1 %exact, label %check.next, label %check.subtype
check.subtype:
  %subtype = call i32 @PyType_IsSubtype(ptr %type, ptr %class)
  %array = icmp ne i32 %subtype, 0
  br i1 %array, label %check.next, label %wrong
check.next:
  %i.next = add i64 %i, 1
  br label %check.head

wrong:
  %complain.at = getelementptr ptr, ptr %items, i64 1
  %complain = load ptr, ptr %complain.at
  %null = call ptr @PyObject_Vectorcall(ptr %complain, ptr %args, i64 %count, ptr null)
  ret ptr %null

guards:
  %guards.at = getelementptr %Table, ptr %table, i64 0, i32 11
  %guards.list = load ptr, ptr %guards.at
  %guarded = icmp ne ptr %guards.list, null
  br i1 %guarded, label %guard, label %lock
guard:
  %number.at = getelementptr %Table, ptr %table, i64 0, i32 12
  %number = load i64, ptr %number.at
  %held = call i1 @hold(ptr %guards.list, i64 %number)
  br i1 %held, label %lock, label %result

lock:                                             ; one thread at a time is in a program: its arena and slots are shared
  %lock.at = getelementptr %Table, ptr %table, i64 0, i32 6
  %mutex = load ptr, ptr %lock.at
  %release.at = getelementptr %Table, ptr %table, i64 0, i32 5
  %long = load i64, ptr %release.at
  %taken = cmpxchg ptr %mutex, i32 0, i32 1 acquire monotonic
  %free = extractvalue { i32, i1 } %taken, 1
  br i1 %free, label %locked, label %wait
wait:                                             ; who holds it needs no GIL to end, so this ends
  %waiting = call ptr @PyEval_SaveThread()
  br label %wait.head
wait.head:
  %yield = call i32 @sched_yield()
  %again = cmpxchg ptr %mutex, i32 0, i32 1 acquire monotonic
  %got = extractvalue { i32, i1 } %again, 1
  br i1 %got, label %waited, label %wait.head
waited:
  call void @PyEval_RestoreThread(ptr %waiting)
  br label %locked

locked:
  %slots.at = getelementptr %Table, ptr %table, i64 0, i32 2
  %slots = load ptr, ptr %slots.at
  br label %read.head
read.head:
  %j = phi i64 [0, %locked], [%j.next, %read.body]
  %read = icmp eq i64 %j, %count
  br i1 %read, label %go, label %read.body
read.body:
  %given.at = getelementptr ptr, ptr %args, i64 %j
  %given = load ptr, ptr %given.at
  %pointer.at = getelementptr i8, ptr %given, i64 16
  %pointer = load ptr, ptr %pointer.at
  %slot.at = getelementptr ptr, ptr %slots, i64 %j
  %slot = load ptr, ptr %slot.at
  store ptr %pointer, ptr %slot
  %j.next = add i64 %j, 1
  br label %read.head

go:
  %islong = icmp ne i64 %long, 0
  br i1 %islong, label %go.long, label %go.short
go.short:
  call void @run(ptr %table)
  store atomic i32 0, ptr %mutex release, align 4
  br label %result
go.long:
  %state = call ptr @PyEval_SaveThread()
  call void @run(ptr %table)
  store atomic i32 0, ptr %mutex release, align 4
  call void @PyEval_RestoreThread(ptr %state)
  br label %result
result:
  %ran = phi i1 [false, %guard], [true, %go.short], [true, %go.long]
  %answer = select i1 %ran, ptr @_Py_TrueStruct, ptr @_Py_FalseStruct
  %object = select i1 %guarded, ptr %answer, ptr @_Py_NoneStruct
  %references = load i64, ptr %object
  %more = add i64 %references, COUNTED
  store i64 %more, ptr %object
  ret ptr %object
}

; Guards alone: self is a tuple of an ndarray of them and their number in it.
define ptr @check(ptr %self, ptr %args, i64 %count) nounwind {
  %items = getelementptr i8, ptr %self, i64 TUPLE_ITEMS
  %holder = load ptr, ptr %items
  %data = getelementptr i8, ptr %holder, i64 16
  %table = load ptr, ptr %data
  %guards.at = getelementptr %Table, ptr %table, i64 0, i32 11
  %guards = load ptr, ptr %guards.at
  %number.at = getelementptr %Table, ptr %table, i64 0, i32 12
  %number = load i64, ptr %number.at
  %held = call i1 @hold(ptr %guards, i64 %number)
  %object = select i1 %held, ptr @_Py_TrueStruct, ptr @_Py_FalseStruct
  %references = load i64, ptr %object
  %more = add i64 %references, COUNTED
  store i64 %more, ptr %object
  ret ptr %object
}

; Run the launches of a table, whose slots are filled.
define void @run(ptr %table) noinline nounwind {
  %most.at = getelementptr %Table, ptr %table, i64 0, i32 9
  %most = load i64, ptr %most.at
  %pointers = alloca ptr, i64 %most, align 16
  %pool = load ptr, ptr %table
  %launches.at = getelementptr %Table, ptr %table, i64 0, i32 3
  %launches = load ptr, ptr %launches.at
  %count.at = getelementptr %Table, ptr %table, i64 0, i32 4
  %count = load i64, ptr %count.at
  %scratch.at = getelementptr %Table, ptr %table, i64 0, i32 7
  %scratch = load ptr, ptr %scratch.at
  %times.at = getelementptr %Table, ptr %table, i64 0, i32 8
  %times = load ptr, ptr %times.at
  %timed = icmp ne ptr %times, null
  %wanted.at = getelementptr %Table, ptr %table, i64 0, i32 13
  %wanted = load i64, ptr %wanted.at
  %early = icmp ne i64 %wanted, 0
  br i1 %early, label %rouse, label %begin
rouse:                                            ; to be awake when their launch comes
  call void @rouse(ptr %pool)
  br label %begin
begin:
  %start = call i64 @clock(i1 %timed)
  br label %head

head:
  %i = phi i64 [0, %begin], [%i.next, %unnoted]
  %since = phi i64 [%start, %begin], [%now, %unnoted]
  %ended = icmp eq i64 %i, %count
  br i1 %ended, label %end, label %body
body:
  %launch = getelementptr %Launch, ptr %launches, i64 %i
  %kernel = load ptr, ptr %launch
  %units.at = getelementptr %Launch, ptr %launch, i64 0, i32 1
  %units = load i64, ptr %units.at
  %nothing = icmp eq i64 %units, 0
  br i1 %nothing, label %next, label %prepare
prepare:
  %operands.at = getelementptr %Launch, ptr %launch, i64 0, i32 2
  %operands = load ptr, ptr %operands.at
  %number.at = getelementptr %Launch, ptr %launch, i64 0, i32 3
  %number = load i64, ptr %number.at
  br label %gather
gather:
  %j = phi i64 [0, %prepare], [%j.next, %gathering]
  %gathered = icmp eq i64 %j, %number
  br i1 %gathered, label %launching, label %gathering
gathering:
  %operand = getelementptr %Operand, ptr %operands, i64 %j
  %slot = load ptr, ptr %operand
  %offset.at = getelementptr %Operand, ptr %operand, i64 0, i32 1
  %offset = load i64, ptr %offset.at
  %base = load ptr, ptr %slot
  %address = getelementptr i8, ptr %base, i64 %offset
  %pointer.at = getelementptr ptr, ptr %pointers, i64 %j
  store ptr %address, ptr %pointer.at
  %j.next = add i64 %j, 1
  br label %gather

launching:
  %worth.at = getelementptr %Launch, ptr %launch, i64 0, i32 4
  %worth = load i64, ptr %worth.at
  %iswide = icmp ugt i64 %worth, 1
  br i1 %iswide, label %parallel, label %serial
serial:
  call void %kernel(ptr %pointers, ptr %scratch, i64 0, i64 %units)
  br label %next
parallel:
  %bytes.at = getelementptr %Launch, ptr %launch, i64 0, i32 5
  %bytes = load i64, ptr %bytes.at
  call void @spread(ptr %pool, ptr %kernel, ptr %pointers, ptr %scratch, i64 %units, i64 %bytes, i64 %worth)
  br label %next
next:
  %now = call i64 @clock(i1 %timed)
  br i1 %timed, label %note, label %unnoted
note:
  %took = sub i64 %now, %since
  %time.at = getelementptr i64, ptr %times, i64 %i
  store i64 %took, ptr %time.at
  br label %unnoted
unnoted:
  %i.next = add i64 %i, 1
  br label %head

end:
  %runs.at = getelementptr %Table, ptr %table, i64 0, i32 14
  %runs = load i64, ptr %runs.at
  %once.more = add i64 %runs, 1
  store i64 %once.more, ptr %runs.at
  ret void
}

; Nanoseconds, if anybody asks.
define internal i64 @clock(i1 %asked) alwaysinline nounwind {
  %time = alloca [2 x i64]
  br i1 %asked, label %read, label %skip
read:
  %code = call i32 @clock_gettime(i32 1, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest.at
  %large = mul i64 %seconds, 1000000000
  %all = add i64 %large, %rest
  ret i64 %all
skip:
  ret i64 0
}
