package example;

import java.util.function.Function;
import org.apache.spark.api.java.function.FilterFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;

/** Leaves out records of test users, by a lambda of its own, and adds a column. */
public class WithoutTests implements Function<Dataset<Row>, Dataset<Row>> {
    @Override
    public Dataset<Row> apply(Dataset<Row> input) {
        FilterFunction<Row> real = row -> !row.<String>getAs("name").startsWith("test");
        return input.filter(real).withColumn("initial", functions.expr("left(name, 1)"));
    }
}
