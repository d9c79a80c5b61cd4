package lake.kills;

import java.io.File;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;

import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * The local file system, which stands still before or after one chosen call of Hudi or Spark.
 *
 * <p>The chosen call is in the file "armed" of the directory lake.kills.home, as
 * "jvm when call number pattern"; "standing" appears there when it is reached, and the call goes on
 * when "released" is there. Compiled in the JVM by the compiler that Spark ships, so no generics
 * and no lambdas here.
 */
public class StandingFileSystem extends LocalFileSystem {
  private static final String HOME = System.getProperty("lake.kills.home");
  private static String chosen = "";
  private static int seen = 0;

  private static void pass(String when, String call, Path path) throws IOException {
    log(when + " " + call + " " + path.toUri().getPath());
    File armed = new File(HOME, "armed");
    if (!armed.exists() || !reached(new String(Files.readAllBytes(armed.toPath())), when, call, path)) {
      return;
    }
    new File(HOME, "standing").createNewFile();
    while (!new File(HOME, "released").exists()) {
      try {
        Thread.sleep(5);
      } catch (InterruptedException e) {
        throw new IOException("interrupted while standing");
      }
    }
  }

  private static synchronized boolean reached(String armed, String when, String call, Path path) {
    String[] parts = armed.split(" ", 5);
    if (!armed.equals(chosen)) {
      chosen = armed;
      seen = 0;
    }
    if (parts.length < 5 || !parts[0].equals("jvm") || !parts[1].equals(when)
        || !call.matches(parts[2]) || !path.toUri().getPath().matches(parts[4])) {
      return false;
    }
    seen = seen + 1;
    return seen == Integer.parseInt(parts[3]);
  }

  private static synchronized void log(String line) throws IOException {
    FileOutputStream out = new FileOutputStream(new File(HOME, "jvm-calls.log"), true);
    try {
      out.write((line + "\n").getBytes());
    } finally {
      out.close();
    }
  }

  public FSDataOutputStream create(Path path, FsPermission permission, boolean overwrite,
      int bufferSize, short replication, long blockSize, Progressable progress) throws IOException {
    pass("before", "create", path);
    FSDataOutputStream out = super.create(
        path, permission, overwrite, bufferSize, replication, blockSize, progress);
    pass("after", "create", path);
    return new FSDataOutputStream(new Closing(out, path), null);
  }

  public boolean rename(Path from, Path to) throws IOException {
    pass("before", "rename", to);
    boolean done = super.rename(from, to);
    pass("after", "rename", to);
    return done;
  }

  public boolean delete(Path path, boolean recursive) throws IOException {
    pass("before", "delete", path);
    boolean done = super.delete(path, recursive);
    pass("after", "delete", path);
    return done;
  }

  public boolean mkdirs(Path path, FsPermission permission) throws IOException {
    pass("before", "mkdirs", path);
    boolean done = super.mkdirs(path, permission);
    pass("after", "mkdirs", path);
    return done;
  }

  /** What was written is half on disk before close. */
  private static class Closing extends FilterOutputStream {
    private final Path path;
    private boolean open = true;

    Closing(OutputStream out, Path path) {
      super(out);
      this.path = path;
    }

    public void write(byte[] bytes, int from, int count) throws IOException {
      out.write(bytes, from, count);
    }

    public void close() throws IOException {
      if (!open) {
        return;
      }
      open = false;
      pass("before", "close", path);
      super.close();
      pass("after", "close", path);
    }
  }
}
