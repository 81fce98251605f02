// A peer on the package github.com/gorilla/websocket, see README.md.
package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A message that is longer than the buffer leaves in fragments when it is written in parts.
const fragment = 256

var cert, deflate = os.Getenv("PEER_CERT"), os.Getenv("PEER_DEFLATE") != ""

func say(line string, args ...interface{}) { fmt.Printf(line+"\n", args...) }

func makeHalf() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345"
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	for i, b := range bytes {
		bytes[i] = alphabet[int(b)%len(alphabet)]
	}
	return string(bytes)
}

func merge(a, b string) string {
	if len(a) > len(b) {
		a, b = b, a
	}
	b = b[:len(a)]
	if a < b {
		return a + b
	}
	return b + a
}

func sample(size int, binary bool) []byte {
	if binary {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i)
		}
		return data
	}
	const unit = "äb€𐍈c"
	times := size / len(unit)
	return []byte(strings.Repeat(unit, times) + strings.Repeat(".", size-times*len(unit)))
}

// One WebSocket; pongs and messages may want to write at once.
type end struct {
	*sync.Mutex
	ws *websocket.Conn
}

func newEnd(ws *websocket.Conn) *end {
	e := &end{Mutex: &sync.Mutex{}, ws: ws}
	ws.EnableWriteCompression(deflate)
	ws.SetPingHandler(func(data string) error {
		say("pinged")
		return ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
	})
	ws.SetPongHandler(func(data string) error { return e.send(websocket.TextMessage, []byte("ponged "+data)) })
	return e
}

func (e *end) send(kind int, data []byte) error {
	e.Lock()
	defer e.Unlock()
	return e.ws.WriteMessage(kind, data)
}

func (e *end) fragments(kind int, data []byte) error {
	e.Lock()
	defer e.Unlock()
	w, err := e.ws.NextWriter(kind)
	if err != nil {
		return err
	}
	for len(data) > 100 {
		if _, err := w.Write(data[:100]); err != nil {
			return err
		}
		data = data[100:]
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Close()
}

func (e *end) obey(words []string) error {
	switch words[1] {
	case "send":
		size, _ := strconv.Atoi(words[2])
		kind := websocket.TextMessage
		if words[3] == "binary" {
			kind = websocket.BinaryMessage
		}
		return e.fragments(kind, sample(size, words[3] == "binary"))
	case "ping":
		return e.ws.WriteControl(websocket.PingMessage, []byte(words[2]), time.Now().Add(time.Second))
	case "close":
		code, _ := strconv.Atoi(words[2])
		data := websocket.FormatCloseMessage(code, words[3])
		return e.ws.WriteControl(websocket.CloseMessage, data, time.Now().Add(time.Second))
	case "cut":
		return e.ws.Close()
	}
	say("error what is %s", words[1])
	return nil
}

// Echoes until the socket ends. Whether the session ended as well.
func (e *end) talk(token string) bool {
	for {
		kind, data, err := e.ws.ReadMessage()
		if err != nil {
			e.gone(err)
			return false
		}
		text := string(data)
		switch {
		case kind == websocket.TextMessage && text == token:
			say("disconnected heard")
			data := websocket.FormatCloseMessage(1000, "")
			_ = e.ws.WriteControl(websocket.CloseMessage, data, time.Now().Add(time.Second))
			_, _, err := e.ws.ReadMessage()
			e.gone(err)
			return true
		case kind == websocket.TextMessage && strings.HasPrefix(text, "please "):
			err = e.obey(strings.Split(text, " "))
		default:
			err = e.send(kind, data)
		}
		if err != nil {
			say("error %v", err)
		}
	}
}

func (e *end) gone(err error) {
	code := 1006
	if closed, ok := err.(*websocket.CloseError); ok {
		code = closed.Code
	}
	_ = e.ws.Close()
	say("closed %d", code)
}

func (e *end) read() string {
	_, data, err := e.ws.ReadMessage()
	if err != nil {
		return ""
	}
	return string(data)
}

func (e *end) say(text string) { _ = e.send(websocket.TextMessage, []byte(text)) }

// The rest of the handshake, once `theirs` was heard and ours was sent.
func (e *end) begin(half, theirs string) string {
	e.say(half)
	if e.read() != theirs {
		say("error the second message is not the half again")
	}
	say("connected")
	return merge(half, theirs)
}

func client(url string) {
	dialer := websocket.Dialer{WriteBufferSize: fragment, EnableCompression: deflate}
	if cert != "" {
		pem, err := os.ReadFile(os.Getenv("PEER_CA"))
		if err != nil {
			panic(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		dialer.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	token := ""
	for over := false; !over; time.Sleep(20 * time.Millisecond) {
		ws, _, err := dialer.Dial(url, nil)
		if err != nil {
			say("error %v", err)
			continue
		}
		e, half := newEnd(ws), makeHalf()
		if token == "" {
			e.say(half)
			token = e.begin(half, e.read())
		} else {
			e.say(token)
			e.read()
			if e.read() != token {
				say("error the token did not come back")
			}
			say("reconnected")
		}
		over = e.talk(token)
	}
	select {}
}

func server() {
	upgrader := websocket.Upgrader{
		WriteBufferSize: fragment, EnableCompression: deflate, Subprotocols: []string{"dop"},
	}
	var sessions sync.Map
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			say("error %v", err)
			return
		}
		e, half := newEnd(ws), makeHalf()
		e.say(half)
		token := e.read()
		if _, known := sessions.Load(token); known {
			e.say(token)
			say("reconnected")
		} else {
			token = e.begin(half, token)
			sessions.Store(token, true)
		}
		if e.talk(token) {
			sessions.Delete(token)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	say("listening %d", listener.Addr().(*net.TCPAddr).Port)
	if cert != "" {
		err = http.ServeTLS(listener, handler, cert, os.Getenv("PEER_KEY"))
	} else {
		err = http.Serve(listener, handler)
	}
	panic(err)
}

func main() {
	if os.Args[1] == "client" {
		client(os.Args[2])
	} else {
		server()
	}
}
