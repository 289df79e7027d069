//go:build linux

package service

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const examples = "../../../../examples"

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestExampleUnits has systemd read the examples side by side, and looks that those
// which Install writes are the same.
func TestExampleUnits(t *testing.T) {
	folder, path := t.TempDir(), program(t, "pasvport")
	var found []string
	for _, pattern := range []string{"*.service", "*.socket"} {
		names, err := filepath.Glob(filepath.Join(examples, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			name = filepath.Base(name)
			found = append(found, name)
			text := strings.ReplaceAll(example(t, name), installed, path)
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{Agent, Socket} {
		if !slices.Contains(found, name) || marker+"\n"+example(t, name) != Unit(name, installed) {
			t.Errorf("examples/%s is not what Install writes; copy internal/service/units/%[1]s there", name)
		}
	}
	dropins := filepath.Join(folder, Agent+".d")
	if err := os.Mkdir(dropins, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dropins, "strict.conf"), []byte(example(t, "pasvport-strict.conf")), 0o644); err != nil {
		t.Fatal(err)
	}
	verify(t, folder)
}

// TestLaunchd reads the property list as Python's plistlib does.
func TestLaunchd(t *testing.T) {
	const script = `import plistlib, sys
with open(sys.argv[1], "rb") as f:
    job = plistlib.load(f)
print(job.pop("Label"), *job.pop("ProgramArguments"), job.pop("RunAtLoad"), job.pop("KeepAlive"))
print(*sorted(job))`
	cmd := exec.Command("/usr/bin/python3", "-c", script, filepath.Join(examples, "org.pasvport.agent.plist"))
	output, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%v; apt-get install python3", err)
	}
	want := "org.pasvport.agent " + installed + " agent run True {'SuccessfulExit': False}\n" +
		"ExitTimeOut ProcessType Umask\n" // launchd.plist(5) has all of them
	if err != nil || string(output) != want {
		t.Errorf("%v\ngot %s\nwant %s", err, output, want)
	}
}

// taskElements are those of the task scheduler's schema that the example may use, by
// their parents' names.
var taskElements = map[string][]string{
	"":                 {"Task"},
	"Task":             {"RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"},
	"RegistrationInfo": {"Description"},
	"Triggers":         {"LogonTrigger"},
	"LogonTrigger":     {"UserId"},
	"Principals":       {"Principal"},
	"Principal":        {"UserId", "LogonType", "RunLevel"},
	"Settings": {"MultipleInstancesPolicy", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries",
		"StartWhenAvailable", "ExecutionTimeLimit", "RestartOnFailure"},
	"RestartOnFailure": {"Interval", "Count"},
	"Actions":          {"Exec"},
	"Exec":             {"Command", "Arguments"},
}

func TestWindowsTask(t *testing.T) {
	text := example(t, "windows-task.xml")
	decoder := xml.NewDecoder(strings.NewReader(text))
	parents := []string{""}
	seen := make(map[string]string) // elements' texts
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		parent := parents[len(parents)-1]
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			if token.Name.Space != "http://schemas.microsoft.com/windows/2004/02/mit/task" || !slices.Contains(taskElements[parent], name) {
				t.Errorf("%s is no element of %q", name, parent)
			}
			parents = append(parents, name)
		case xml.EndElement:
			parents = parents[:len(parents)-1]
		case xml.CharData:
			seen[parent] += strings.TrimSpace(string(token))
		}
	}
	if got := seen["Command"] + " " + seen["Arguments"]; !strings.Contains(got, `pasvport.exe agent run;`) {
		t.Errorf("it runs %q", got)
	}
	if seen["UserId"] != "USERUSER" {
		t.Errorf("the users are %q, want two to be replaced", seen["UserId"])
	}
}

// TestContainerfile looks at what is said of it: nobody's root, and a health that is
// asked of the agent. Nothing here can build one.
func TestContainerfile(t *testing.T) {
	text := example(t, "Containerfile")
	_, image, found := strings.Cut(text, "\nFROM scratch\n")
	if !found {
		t.Fatal("no image from scratch")
	}
	for _, line := range []string{
		"USER 10000:10000",
		`CMD ["/usr/bin/pasvport", "status"]`,
		`ENTRYPOINT ["/usr/bin/pasvport", "agent", "run"]`,
	} {
		if !strings.Contains(image, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}
