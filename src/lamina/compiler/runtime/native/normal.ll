; Box-Muller, as PyTorch's blocks have it: 16 words of the stream become 8 radii and 8 angles, and 16 normal numbers. The polynomials
; are those of core/draws_normal.py (Cephes' logf, sinf, cosf), in the same order, with the same fused steps: the bits are the same.

declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare <8 x float> @llvm.sqrt.v8f32(<8 x float>)
declare double @llvm.fma.f64(double, double, double)
declare double @llvm.sqrt.f64(double)
declare double @log(double) nounwind
declare double @log1p(double) nounwind
declare double @cos(double) nounwind
declare double @sin(double) nounwind

; `blocks` blocks of 16 words (as 64 bits each, below 2^32) to 16 floats, times std plus mean.
define void @normal32(ptr %words, ptr %out, i64 %blocks, float %mean, float %std) nounwind {
entry:
  %m0 = insertelement <8 x float> poison, float %mean, i64 0
  %m = shufflevector <8 x float> %m0, <8 x float> poison, <8 x i32> zeroinitializer
  %s0 = insertelement <8 x float> poison, float %std, i64 0
  %s = shufflevector <8 x float> %s0, <8 x float> poison, <8 x i32> zeroinitializer
  %some = icmp sgt i64 %blocks, 0
  br i1 %some, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = shl i64 %i, 4
  %w.at = getelementptr i64, ptr %words, i64 %at
  %w2.at = getelementptr i64, ptr %w.at, i64 8
  %w.wide = load <8 x i64>, ptr %w.at, align 8
  %w2.wide = load <8 x i64>, ptr %w2.at, align 8
  %w.all = trunc <8 x i64> %w.wide to <8 x i32>
  %w2.all = trunc <8 x i64> %w2.wide to <8 x i32>
  %bits = and <8 x i32> %w.all, splat (i32 16777215)
  %bits2 = and <8 x i32> %w2.all, splat (i32 16777215)
  ; the radius: sqrt(-2 log(1 - bits / 2^24)); number = (1 + x) * 2^exponent with 1 + x in [sqrt(1/2), sqrt(2))
  %t1 = sub <8 x i32> splat (i32 16777216), %bits
  %t2 = sitofp <8 x i32> %t1 to <8 x float>
  %t3 = bitcast <8 x float> %t2 to <8 x i32>
  %t4 = sub <8 x i32> %t3, splat (i32 1060439283)
  %t5 = ashr <8 x i32> %t4, splat (i32 23)
  %t6 = sitofp <8 x i32> %t5 to <8 x float>
  %t7 = fsub <8 x float> %t6, splat (float 0x4038000000000000)
  %t8 = and <8 x i32> %t4, splat (i32 8388607)
  %t9 = add <8 x i32> %t8, splat (i32 1060439283)
  %t10 = bitcast <8 x i32> %t9 to <8 x float>
  %t11 = fsub <8 x float> %t10, splat (float 0x3FF0000000000000)
  %t12 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t11, <8 x float> splat (float 0x3FB2043760000000), <8 x float> splat (float 0xBFBD7A3700000000))
  %t13 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t12, <8 x float> %t11, <8 x float> splat (float 0x3FBDE4A340000000))
  %t14 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t13, <8 x float> %t11, <8 x float> splat (float 0xBFBFCBA9E0000000))
  %t15 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t14, <8 x float> %t11, <8 x float> splat (float 0x3FC23D37E0000000))
  %t16 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t15, <8 x float> %t11, <8 x float> splat (float 0xBFC555CA00000000))
  %t17 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t16, <8 x float> %t11, <8 x float> splat (float 0x3FC999D580000000))
  %t18 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t17, <8 x float> %t11, <8 x float> splat (float 0xBFCFFFFF80000000))
  %t19 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t18, <8 x float> %t11, <8 x float> splat (float 0x3FD5555540000000))
  %t20 = fmul <8 x float> %t19, %t11
  %t21 = fmul <8 x float> %t11, %t11
  %t22 = fmul <8 x float> %t7, splat (float 0xBF2BD01060000000)
  %t23 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t20, <8 x float> %t21, <8 x float> %t22)
  %t24 = fmul <8 x float> %t21, splat (float 0x3FE0000000000000)
  %t25 = fsub <8 x float> %t23, %t24
  %t26 = fadd <8 x float> %t11, %t25
  %t27 = fmul <8 x float> %t7, splat (float 0x3FE6300000000000)
  %t28 = fadd <8 x float> %t26, %t27
  %t29 = fmul <8 x float> %t28, splat (float 0xC000000000000000)
  %t30 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %t29)
  ; cosine and sine of the angle: the nearest even multiple of pi/4 is taken off
  %t31 = sitofp <8 x i32> %bits2 to <8 x float>
  %t32 = fmul <8 x float> %t31, splat (float 0x3E9921FB60000000)
  %t33 = fmul <8 x float> %t32, splat (float 0x3FF45F3060000000)
  %t34 = fptosi <8 x float> %t33 to <8 x i32>
  %t35 = add <8 x i32> %t34, splat (i32 1)
  %t36 = and <8 x i32> %t35, splat (i32 -2)
  %t37 = sitofp <8 x i32> %t36 to <8 x float>
  %t38 = fmul <8 x float> %t37, splat (float 0x3FE9200000000000)
  %t39 = fsub <8 x float> %t32, %t38
  %t40 = fmul <8 x float> %t37, splat (float 0x3F2FB40000000000)
  %t41 = fsub <8 x float> %t39, %t40
  %t42 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t37, <8 x float> splat (float 0xBE64442D20000000), <8 x float> %t41)
  %t43 = fmul <8 x float> %t42, %t42
  %t44 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t43, <8 x float> splat (float 0x3EF99EB9C0000000), <8 x float> splat (float 0xBF56C0C340000000))
  %t45 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t44, <8 x float> %t43, <8 x float> splat (float 0x3FA55554A0000000))
  %t46 = fmul <8 x float> %t45, %t43
  %t47 = fmul <8 x float> %t43, splat (float 0xBFE0000000000000)
  %t48 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t46, <8 x float> %t43, <8 x float> %t47)
  %t49 = fadd <8 x float> %t48, splat (float 0x3FF0000000000000)
  %t50 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t43, <8 x float> splat (float 0xBF29943F20000000), <8 x float> splat (float 0x3F811073C0000000))
  %t51 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t50, <8 x float> %t43, <8 x float> splat (float 0xBFC5555460000000))
  %t52 = fmul <8 x float> %t51, %t43
  %t53 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t52, <8 x float> %t42, <8 x float> %t42)
  ; every second quarter turn swaps the two; signs follow the quarter
  %t54 = bitcast <8 x float> %t49 to <8 x i32>
  %t55 = bitcast <8 x float> %t53 to <8 x i32>
  %t56 = shl <8 x i32> %t36, splat (i32 30)
  %t57 = ashr <8 x i32> %t56, splat (i32 31)
  %t58 = xor <8 x i32> %t54, %t55
  %t59 = and <8 x i32> %t57, %t58
  %t60 = xor <8 x i32> %t54, %t59
  %t61 = xor <8 x i32> %t55, %t59
  %t62 = shl <8 x i32> %t36, splat (i32 29)
  %t63 = and <8 x i32> %t62, splat (i32 -2147483648)
  %t64 = xor <8 x i32> %t61, %t63
  %t65 = add <8 x i32> %t36, splat (i32 2)
  %t66 = shl <8 x i32> %t65, splat (i32 29)
  %t67 = and <8 x i32> %t66, splat (i32 -2147483648)
  %t68 = xor <8 x i32> %t60, %t67
  %t69 = bitcast <8 x i32> %t68 to <8 x float>
  %t70 = bitcast <8 x i32> %t64 to <8 x float>
  %t71 = fmul <8 x float> %t69, %t30
  %t72 = fmul <8 x float> %t70, %t30
  %t73 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t71, <8 x float> %s, <8 x float> %m)
  %t74 = call <8 x float> @llvm.fma.v8f32(<8 x float> %t72, <8 x float> %s, <8 x float> %m)
  %o.at = getelementptr float, ptr %out, i64 %at
  %o2.at = getelementptr float, ptr %o.at, i64 8
  store <8 x float> %t73, ptr %o.at, align 4
  store <8 x float> %t74, ptr %o2.at, align 4
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %blocks
  br i1 %more, label %loop, label %done
done:
  ret void
}

; The same of doubles in [0, 1), by the C library's functions.
define void @normal64(ptr %uniforms, ptr %out, i64 %blocks, double %mean, double %std) nounwind {
entry:
  %some = icmp sgt i64 %blocks, 0
  br i1 %some, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %block = and i64 %i, -8
  %at = add i64 %i, %block                        ; 16 * (i / 8) + i % 8
  %u.at = getelementptr double, ptr %uniforms, i64 %at
  %u2.at = getelementptr double, ptr %u.at, i64 8
  %u = load double, ptr %u.at, align 8
  %u2 = load double, ptr %u2.at, align 8
  %left = fsub double 1.0, %u
  %log = call double @log(double %left)
  %twice = fmul double %log, -2.0
  %radius = call double @llvm.sqrt.f64(double %twice)
  %theta = fmul double %u2, 0x401921FB54442D18
  %cos = call double @cos(double %theta)
  %sin = call double @sin(double %theta)
  %x = fmul double %radius, %cos
  %y = fmul double %radius, %sin
  %x.there = call double @llvm.fma.f64(double %x, double %std, double %mean)
  %y.there = call double @llvm.fma.f64(double %y, double %std, double %mean)
  %o.at = getelementptr double, ptr %out, i64 %at
  %o2.at = getelementptr double, ptr %o.at, i64 8
  store double %x.there, ptr %o.at, align 8
  store double %y.there, ptr %o2.at, align 8
  %next = add nuw nsw i64 %i, 1
  %count = shl i64 %blocks, 3
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}

; Pairs one by one, as PyTorch draws fewer than 16 and scattered ones: of two doubles the first is the angle's, the second the radius's.
define void @pairs64(ptr %uniforms, ptr %out, i64 %count) nounwind {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = shl i64 %i, 1
  %u.at = getelementptr double, ptr %uniforms, i64 %at
  %u2.at = getelementptr double, ptr %u.at, i64 1
  %u = load double, ptr %u.at, align 8
  %u2 = load double, ptr %u2.at, align 8
  %minus = fneg double %u2
  %log = call double @log1p(double %minus)
  %twice = fmul double %log, -2.0
  %radius = call double @llvm.sqrt.f64(double %twice)
  %theta = fmul double %u, 0x401921FB54442D18
  %cos = call double @cos(double %theta)
  %sin = call double @sin(double %theta)
  %x = fmul double %radius, %cos
  %y = fmul double %radius, %sin
  %o.at = getelementptr double, ptr %out, i64 %at
  %o2.at = getelementptr double, ptr %o.at, i64 1
  store double %x, ptr %o.at, align 8
  store double %y, ptr %o2.at, align 8
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}
