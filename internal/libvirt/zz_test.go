package libvirt
import ("testing";"time";"runtime";"math/rand/v2";"context";"strings";"fmt";"os")
func TestZZ(t *testing.T){
 d := startDaemon(t)
 f := d.file(guest("web1", uuid1))
 var b strings.Builder
 for range 3000 { fmt.Fprintln(&b, "define", f) }
 d.run("sh","-c","virsh -q < "+d.file(b.String())+" >/dev/null 2>&1 &")
 before := runtime.NumGoroutine()
 stuck := 0
 end := time.Now().Add(10*time.Second)
 n, ok := 0, 0
 for ;time.Now().Before(end);n++ {
  ctx, cancel := context.WithCancel(context.Background())
  c, err := Dial(ctx, d.uri(), 5*time.Second)
  if err != nil { cancel(); time.Sleep(5*time.Millisecond); continue }
  time.AfterFunc(time.Duration(rand.IntN(1500))*time.Microsecond, cancel)
  ev, err := c.Events()
  if err == nil { ok++
   tm := time.After(3*time.Second)
   for open:=true;open; { select { case _, open = <-ev: case <-tm: stuck++; open=false } }
  }
  cancel()
 }
 time.Sleep(time.Second)
 t.Log(n, ok, "stuck", stuck, "goroutines", before, runtime.NumGoroutine())
 if runtime.NumGoroutine()>before { buf:=make([]byte,1<<20); os.Stderr.Write(buf[:runtime.Stack(buf,true)][:6000]) }
}
