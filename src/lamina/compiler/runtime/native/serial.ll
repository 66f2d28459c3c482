define internal void @spread(ptr %pool, ptr %kernel, ptr %pointers, ptr %scratch, i64 %units, i64 %bytes) nounwind {
  call void %kernel(ptr %pointers, ptr %scratch, i64 0, i64 %units)
  ret void
}
